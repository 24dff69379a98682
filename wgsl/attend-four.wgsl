// Query heads share key-value heads.
const HEADS = 4u;
