// Follows a launch by @jupyterhub/binderhub-client to its last event, and prints each as a line of JSON.
// Given: the address of `build/`, the spec, and what to open.
import { BinderRepository } from '@jupyterhub/binderhub-client/client.js';
import { LaunchSpec } from '@jupyterhub/binderhub-client/spec.js';

// It is written for pages: it looks for a cookie there, talks to their console, and has nobody await the error by which
// it closes the stream of a launch that failed.
globalThis.window = globalThis;
globalThis.document = Object.assign(new EventTarget(), { cookie: '' });
console.log = console.error;
process.on('unhandledRejection', error => console.error(error));

const [build, spec, opens] = process.argv.slice(2);
const repository = new BinderRepository(spec, new URL(build));
for await (const event of repository.fetch()) {
  if (event.phase === 'ready') {
    event.opened = new LaunchSpec(opens).getJupyterServerRedirectUrl(new URL(event.url), event.token);
  }
  process.stdout.write(`${JSON.stringify(event)}\n`);
  if (['ready', 'failed'].includes(event.phase)) break;
}
repository.close();
