// Headers that most files include: read once by the gate's builds, and before the merged files of
// QUICK=1. No file includes this one; what a user builds goes without, so that a missing include
// does not go unseen.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
