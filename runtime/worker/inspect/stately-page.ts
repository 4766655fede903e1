/**
 * The page that shows Stately's own inspector. That one is not ours and not here: it needs the internet.
 *
 * @module
 */

const inspectorOrigin = "https://stately.ai";

const script = `
const frame = document.querySelector("iframe");
const note = document.querySelector("p");
const waiting = [];
let connected = false;
addEventListener("message", (message) => {
  if (message.source !== frame.contentWindow || message.origin !== "${inspectorOrigin}") return;
  if (message.data?.type !== "@statelyai.connected") return;
  connected = true;
  note.hidden = true;
  for (const one of waiting.splice(0)) frame.contentWindow.postMessage(one, "${inspectorOrigin}");
});
const socket = new WebSocket("ws://" + location.host + "/" + location.search);
socket.onmessage = ({ data }) => {
  const one = JSON.parse(data);
  if (connected) frame.contentWindow.postMessage(one, "${inspectorOrigin}");
  else if (waiting.length < 5000) waiting.push(one);
};
socket.onclose = () => { note.hidden = false; note.textContent = "The node has closed the stream: reload when it runs again."; };
`;

const style = `html,body{height:100%;margin:0;font:15px/1.5 system-ui,sans-serif}
iframe{width:100%;height:100%;border:0}
p{position:fixed;inset:auto 0 0;margin:0;padding:.75rem 1rem;background:#16181d;color:#fff}`;

export interface StatelyPage {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** @param nonce Unguessable, of this answer only. */
export function statelyPage(nonce: string): StatelyPage {
  return {
    html: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>SPECTRA in the Stately Inspector</title>
<style nonce="${nonce}">${style}</style>
<iframe src="${inspectorOrigin}/inspect" title="Stately Inspector"></iframe>
<p role="status">Waits for ${inspectorOrigin}: the inspector itself comes from the internet. Without it, use the Actors view of the dashboard.</p>
<script nonce="${nonce}">${script}</script>
</html>
`,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; frame-src ${inspectorOrigin}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    },
  };
}
