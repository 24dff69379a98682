import { VARIANTS } from "../../backends.js";
import { conformance } from "./suite.js";

for (const variant of VARIANTS) conformance(variant);
