import { isIP } from "node:net";

/** Where the service serves gRPC, if nothing else is said. */
const defaultTarget = "127.0.0.1:9090";

/** The URL that the transport wants. */
export function baseUrl(target: string | undefined, plaintext: boolean): string {
  target ??= process.env["PROMPTFORGE_GRPC"] || defaultTarget;
  const scheme = /^(https?|grpcs?):\/\//i.exec(target);
  if (scheme) throw new TypeError(`the target is host:port, where the service serves gRPC, without ${scheme[0]}`);
  let url: URL;
  try {
    url = new URL(`https://${target}`);
  } catch {
    throw new TypeError(`the target ${JSON.stringify(target)} is no host:port`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const local = host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
  return `${plaintext || local ? "http" : "https"}://${target}`;
}

/** The API key, from the environment if none is given. */
export function key(apiKey: string | undefined): string {
  apiKey ??= process.env["PROMPTFORGE_API_KEY"];
  if (!apiKey) {
    throw new TypeError("no API key: give apiKey, or set PROMPTFORGE_API_KEY (promptforge keys create CLIENT makes one)");
  }
  return apiKey;
}
