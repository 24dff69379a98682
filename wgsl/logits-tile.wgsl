// A tile of wanted rows: a table row is loaded once for all of them.
const WANTED = 8u;
const ROWS = 2u; // table rows of a lane
