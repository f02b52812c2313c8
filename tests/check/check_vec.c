#include "check.h"
const ck_case ck_vec_cases[] = {{0}};
