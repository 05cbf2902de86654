// The ember mark beside the product name; the same drawing as favicon.svg.

export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg viewBox="0 0 32 32" width={size} height={size} aria-hidden="true">
      <path fill="#c2440c" d="M16 1.5 29 9v14L16 30.5 3 23V9z" />
      <path
        fill="#ffb37a"
        d="M16.6 6.2c.7 4.2 6.2 6.3 6.2 12.1a6.8 6.8 0 0 1-13.6 0c0-3 1.6-4.9 3-6.5.2 1.7.8 2.7 1.9 3.3-.5-3.3.4-6.5 2.5-8.9z"
      />
      <path
        fill="#fff4ec"
        d="M16.2 16.2c.4 1.9 2.6 2.8 2.6 5a2.8 2.8 0 0 1-5.6 0c0-1.3.6-2 1.2-2.7.2.6.5 1 .9 1.2-.1-1.3.1-2.5.9-3.5z"
      />
    </svg>
  );
}
