// What to write to be notified, for pages that have nothing to show without it.
import type { NotificationSetup } from './useNotifications';

const EXAMPLE = `# prometheus.yml
notifications:
  route:
    receiver: me
    group_by: [alertname]
  receivers:
  - name: me
    webhook_configs:
    - url: http://localhost:8080/alerts`;

export function SetUpHint() {
  return (
    <div className="ek-no-rules" data-testid="notifications-off">
      <h2>This server notifies nobody itself</h2>
      <p>
        Alerts go to Alertmanagers, where some are configured. To be told without one, by webhook, email or
        Slack, and to silence alerts here, add the section <code>notifications</code> to the configuration and
        load it again (SIGHUP, or POST to <code>/-/reload</code> with <code>--web.enable-lifecycle</code>).
        Its keys are those of alertmanager.yml:
      </p>
      <pre className="ek-example">{EXAMPLE}</pre>
    </div>
  );
}

/** Says so where receivers are set up but stay silent. */
export function SilentNote({ setup }: { setup: NotificationSetup }) {
  if (!setup.silent) return null;
  return (
    <p className="ek-message ek-dimmed" data-testid="notifications-silent">
      Alertmanagers are configured, so alerts of rules go to them and these receivers stay silent. Set{' '}
      <code>alongside_alertmanagers: true</code> in the section <code>notifications</code> to tell both.
    </p>
  );
}
