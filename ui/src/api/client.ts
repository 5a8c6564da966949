// The API of this origin's server. JSON on the wire, so that a network tab reads
// like the documentation.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { AlertService, ChangeService, ClusterService, GovernanceService, ImageService, StatusService } from "../gen/dockreeve/v1/dockreeve_pb";
import { atom } from "../lib/atom";
import { reveal } from "../lib/text";

/** False once the server said that this browser is not signed in. */
export const signedIn = atom(true);

const session: Interceptor = (next) => async (req) => {
  try {
    const res = await next(req);
    if (!res.stream) reveal(res.message);
    return res;
  } catch (err) {
    if (ConnectError.from(err).code === Code.Unauthenticated) signedIn.set(false);
    throw err;
  }
};

const transport = createConnectTransport({ baseUrl: location.origin, interceptors: [session] });

export const alerts = createClient(AlertService, transport);
export const changes = createClient(ChangeService, transport);
export const clusters = createClient(ClusterService, transport);
export const governance = createClient(GovernanceService, transport);
export const images = createClient(ImageService, transport);
export const status = createClient(StatusService, transport);

/** The sentence for people in an error of the API or of the network. */
export function sentence(err: unknown): string {
  const e = ConnectError.from(err);
  if (unreachable(err)) return "The server cannot be reached.";
  return e.rawMessage || "The server gave no reason.";
}

/** Whether the server was not reached at all, as opposed to having refused. */
export function unreachable(err: unknown): boolean {
  const e = ConnectError.from(err);
  return e.code === Code.Unavailable || (e.code === Code.Unknown && (e.cause instanceof TypeError || /fetch|network/i.test(e.rawMessage)));
}

export const aborted = (err: unknown): boolean => {
  const e = ConnectError.from(err);
  return e.code === Code.Canceled || (e.cause instanceof DOMException && e.cause.name === "AbortError");
};

export const isCode = (err: unknown, code: Code): boolean => ConnectError.from(err).code === code;
export { Code };
