// Every query head has a key-value head of its own.
const HEADS = 1u;
