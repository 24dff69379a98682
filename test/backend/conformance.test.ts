import { VARIANTS } from "../backends.js";
import { conformance } from "./conformance.js";

for (const variant of VARIANTS) conformance(variant);
