// A series name with its parts told apart by colour.
import { Fragment, memo } from 'react';
import { type Labels, quote, seriesParts } from './series';

export const SeriesName = memo(function SeriesName({ labels }: { labels: Labels }) {
  const { name, pairs, quotedName } = seriesParts(labels);
  const isEmpty = pairs.length === 0 && quotedName === null;
  return (
    <span className="ek-series">
      {name}
      {(!isEmpty || name === '') && (
        <>
          {'{'}
          {quotedName}
          {pairs.map(([label, value], index) => (
            <Fragment key={label}>
              {(index > 0 || quotedName !== null) && ', '}
              <span className="ek-series-label">{label}</span>=
              <span className="ek-series-value">{quote(value)}</span>
            </Fragment>
          ))}
          {'}'}
        </>
      )}
    </span>
  );
});
