/** A key and a certificate that it signs for itself, made for one test: none has to lie in the repository, or to expire. */
import { generateKeyPairSync, sign } from "node:crypto";

export interface Certified {
  /** both in PEM */
  readonly key: string;
  readonly cert: string;
}

/** X.509 version 3 (RFC 5280) over a P-256 key: an authority of its own, for these names, from yesterday to tomorrow. */
export function certificateFor(...names: readonly string[]): Certified {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSha256 = sequence(object("2a8648ce3d040302"));
  const commonName = sequence(der(0x31, sequence(object("550403"), der(0x0c, Buffer.from(names[0])))));
  const contents = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.of(1)),
    ecdsaWithSha256,
    commonName,
    sequence(time(-1), time(1)),
    commonName,
    publicKey.export({ type: "spki", format: "der" }),
    der(
      0xa3,
      sequence(extension("551d13", TRUE), extension("551d11", ...names.map((name) => der(0x82, Buffer.from(name))))),
    ),
  );
  const signature = der(0x03, Buffer.of(0), sign("sha256", contents, privateKey));
  const lines =
    sequence(contents, ecdsaWithSha256, signature)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  const cert = ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
  return { key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), cert };
}

/** Tag, length, contents. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const contents = Buffer.concat(parts);
  const { length } = contents;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.of(tag, ...size), contents]);
}

const sequence = (...parts: readonly Buffer[]) => der(0x30, ...parts);
const object = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const extension = (id: string, ...parts: readonly Buffer[]) => sequence(object(id), der(0x04, sequence(...parts)));
const TRUE = der(0x01, Buffer.of(255));

/** YYMMDDhhmmssZ */
function time(days: number): Buffer {
  const iso = new Date(Date.now() + days * 24 * 60 * 60 * 1000).toISOString();
  return der(0x17, Buffer.from(`${iso.slice(2, 19).replace(/[^\d]/g, "")}Z`));
}
