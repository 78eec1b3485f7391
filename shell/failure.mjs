// The answer when there is no core to make one: in the form of the path, readable by a page of any origin.

const DETAIL = "something went wrong here; the request may be repeated";
const FLAGS = "/ofrep/v1/evaluate/flags";

/** 500 as OFREP's body on its paths, as problem JSON (RFC 9457) elsewhere. */
export function failure({ url, headers }) {
  const { pathname } = new URL(url);
  const ofrep = pathname.startsWith(FLAGS);
  const head = new Headers({
    "content-type": ofrep ? "application/json" : "application/problem+json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    vary: "Origin",
  });
  const origin = headers.get("origin");
  if (origin !== null) head.set("access-control-allow-origin", origin);
  return new Response(JSON.stringify(ofrep ? evaluation(pathname) : PROBLEM), { status: 500, headers: head });
}

const PROBLEM = { type: "urn:headgate:problem:internal", title: "Something went wrong here", status: 500, detail: DETAIL };

function evaluation(pathname) {
  const body = { errorCode: "GENERAL", errorDetails: DETAIL, metadata: {} };
  const key = pathname.slice(FLAGS.length + 1);
  return key === "" ? body : { key: decoded(key), ...body };
}

function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
