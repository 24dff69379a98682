/** The text on which a report measures perplexity: plain English about things that every model has read of. */
export const PROBE = `The sun is a star. The earth moves around it once a year, and the moon moves around the earth about \
once a month. Because the earth also turns around itself, we have day and night. In summer the days are long and warm, and \
in winter they are short and cold.

Water is a liquid. When it gets very cold it becomes ice, and when it is heated it becomes steam. Rain falls from the \
clouds, runs into the rivers, and the rivers carry it back to the sea. Plants need water and light to grow, and animals eat \
the plants.

A computer follows a list of instructions that is called a program. It can add numbers, compare them and store the results \
in its memory, many millions of times in a second.`;
