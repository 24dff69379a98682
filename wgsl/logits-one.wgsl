// One wanted row at a time.
const WANTED = 1u;
const ROWS = 4u; // table rows of a lane
