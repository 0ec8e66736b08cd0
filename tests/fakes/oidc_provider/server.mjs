// An OpenID provider (oidc-provider, OpenID Certified) whose people are in its settings. Settings: JSON in the environment.
import { Provider } from 'oidc-provider';

const { issuer, port, client, people, key, claims, skew } = JSON.parse(process.env.SETTINGS);
const shift = (skew ?? 0) * 1000;
const now = Date.now;
Date.now = () => now() + shift; // a clock that is wrong

const provider = new Provider(issuer, {
  clients: [client],
  jwks: { keys: [key] },
  cookies: { keys: ['a key of a test'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['groups', 'preferred_username'] },
  conformIdTokenClaims: !claims,
  features: { devInteractions: { enabled: true } },
  pkce: { required: () => true },
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, ...people[id] }) }),
  ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Grant: 600, Session: 600 },
});
provider.listen(port, '127.0.0.1', () => console.log('listening'));
