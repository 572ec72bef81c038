#!/bin/sh
# Builds the kernels with their tests under ASan with UBSan and under TSan, and runs them. Kept in build/, so that only
# what changed is built again.
set -eu
cd "$(dirname "$0")/../.."
CMAKE=${CMAKE:-cmake}
for sanitizer in address,undefined thread; do
    folder=build/sanitize-${sanitizer%%,*}
    "$CMAKE" -S . -B "$folder" -DCMAKE_BUILD_TYPE=None -DGATESMITH_SANITIZE="$sanitizer" -DGATESMITH_TESTS=ON >/dev/null
    for test in test_kernel test_variant test_fixed; do
        "$CMAKE" --build "$folder" --target "$test" -j 2 >/dev/null
        printf '%s: ' "$sanitizer"
        "$folder/$test"
    done
done
