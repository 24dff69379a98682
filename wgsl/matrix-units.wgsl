enable subgroups;
enable chromium_experimental_subgroup_matrix;

// Products of int8 matrices on the matrix units of a subgroup, in the one size that the kernels use.

const M = 16u; // rows of x
const N = 16u; // outputs
const K = 32u; // columns

alias Left = subgroup_matrix_left<i8, K, M>;
alias Right = subgroup_matrix_right<i8, N, K>;
alias Sums = subgroup_matrix_result<i32, N, M>;
