// The exports of both binaries. Kernels are pure functions of pointers and sizes: no variables, no static data, no
// allocation, because every thread instantiates the module over the same memory.
export { ternaryDot16, ternaryDot32, ternaryDotBaseline, ternaryScale, ternaryPack } from "./ternary";
export { tableTranspose, tableDot, tableScale } from "./table";
export { norm, normQuantize, quantize } from "./norm";
export { gateRelu2, gateSilu } from "./gate";
export { decodeF32, decodeF16, decodeBF16, decodeQ8_0, decodeQ4_0, decodeQ4_K, decodeQ6_K, decodeQ2_0, decodePQ2_0, dotF32, dotRows, logitsBF16, logitsF16 } from "./dense";
export { fixedPoint, rowsQ4_0, rowsQ8_0, tileQ4_0, tileQ8_0 } from "./packed";
export { rope, ropeAdjacent, storeKey, storeValue, attendChunk, fold, finish } from "./attention";
export { blockSums, scaleFloats, ternaryBlocks, unpackTQ1_0, unpackTQ2_0 } from "./blocks";
export { headPack, headQuantize, headScan, atLeast } from "./head";
export { storeKey16, storeValue16, attendChunk16 } from "./attention16";
export { firstNonFinite } from "./finite";
export { read } from "./read";
export { barrier, pollChange, takeShare } from "./sync";

// Constants that the TypeScript side lays memory out by: src/backend/cpu/kernels.ts compares them with its own.
export { SCALE_BLOCK } from "./blocks";
export { EVEN_ROWS, GROUP, ODD_ROWS } from "./ternary";
export { TABLE_BLOCK, TABLE_ENTRIES, TABLE_RUN, TILE } from "./table";
export { HALF_MASK, HALF_SCALE } from "./dense";
export { FIXED_BLOCK, FIXED_UNIT } from "./packed";
export { CHUNK, PARTIAL_HEADER } from "./attention";
export { HEAD_GROUP, HEAD_NUMBERS } from "./head";
export { MASK_BITS } from "./sync";
