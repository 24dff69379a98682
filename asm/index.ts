// The exports of both binaries. Kernels are pure functions of pointers and sizes: no globals, no static data, no
// allocation, because every thread instantiates the module over the same memory.
export { ternaryDot16, ternaryDot32, ternaryDotBaseline, ternaryScale, ternaryPack } from "./ternary";
export { tableTranspose, tableDot, tableScale } from "./table";
export { norm, normQuantize } from "./norm";
export { gateRelu2, gateSilu } from "./gate";
export { decodeF32, decodeF16, decodeBF16, decodeQ8_0, decodeQ6_K, dotF32, logitsF16 } from "./dense";
export { rope, storeKey, storeValue, attendChunk, fold, finish } from "./attention";
export { headPack, headQuantize, headScan, atLeast } from "./head";
export { storeKey16, storeValue16, attendChunk16 } from "./attention16";
export { firstNonFinite } from "./finite";
export { read } from "./read";
export { barrier, pollChange, takeShare } from "./sync";
