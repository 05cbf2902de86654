import{hn as e}from"./shared-9PS4fQoj.js";var t=e(),n=`# prometheus.yml
notifications:
  route:
    receiver: me
    group_by: [alertname]
  receivers:
  - name: me
    webhook_configs:
    - url: http://localhost:8080/alerts`;function r(){return(0,t.jsxs)(`div`,{className:`ek-no-rules`,"data-testid":`notifications-off`,children:[(0,t.jsx)(`h2`,{children:`This server notifies nobody itself`}),(0,t.jsxs)(`p`,{children:[`Alerts go to Alertmanagers, where some are configured. To be told without one, by webhook, email or Slack, and to silence alerts here, add the section `,(0,t.jsx)(`code`,{children:`notifications`}),` to the configuration and load it again (SIGHUP, or POST to `,(0,t.jsx)(`code`,{children:`/-/reload`}),` with `,(0,t.jsx)(`code`,{children:`--web.enable-lifecycle`}),`). Its keys are those of alertmanager.yml:`]}),(0,t.jsx)(`pre`,{className:`ek-example`,children:n})]})}function i({setup:e}){return e.silent?(0,t.jsxs)(`p`,{className:`ek-message ek-dimmed`,"data-testid":`notifications-silent`,children:[`Alertmanagers are configured, so alerts of rules go to them and these receivers stay silent. Set`,` `,(0,t.jsx)(`code`,{children:`alongside_alertmanagers: true`}),` in the section `,(0,t.jsx)(`code`,{children:`notifications`}),` to tell both.`]}):null}export{i as n,r as t};