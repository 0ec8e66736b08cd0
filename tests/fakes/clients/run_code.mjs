// Runs code by @jupyterlab/services, with which VS Code reaches a server that somebody started elsewhere, and prints
// what it prints. Given: the server's address, its token, the code.
import { KernelManager, KernelSpecManager, ServerConnection, SessionManager } from '@jupyterlab/services';

console.debug = console.error;
const [baseUrl, token, code] = process.argv.slice(2);
const serverSettings = ServerConnection.makeSettings({ baseUrl, token, appendToken: true });
const specs = new KernelSpecManager({ serverSettings });
await specs.ready;
const kernels = new KernelManager({ serverSettings });
const sessions = new SessionManager({ kernelManager: kernels, serverSettings });
const name = specs.specs.default;
const session = await sessions.startNew({ path: 'moons.ipynb', type: 'notebook', name: '', kernel: { name } });
const asked = session.kernel.requestExecute({ code });
asked.onIOPub = message => {
  if (message.header.msg_type === 'stream') process.stdout.write(message.content.text);
};
await asked.done;
await session.shutdown();
process.exit();
