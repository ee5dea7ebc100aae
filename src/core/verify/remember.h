// What becomes of a verify's result: the catalog knows it from then on.
#pragma once

#include <string>

#include "base/error.h"
#include "store/repository.h"
#include "verify/verify_run.h"

namespace backup_ext {

// `path: problem` of the first row; empty when the backup is sound.
[[nodiscard]] std::string FirstProblem(const VerifyResult& result);

// Why a result is not remembered, as a message.
[[nodiscard]] std::string NotRemembered(const std::string& backup_id, const Error& error);
// Notes the result at the backup and, when it is damaged, at those that share its packs. Empty, or
// why it could not (a read-only repository, say): the result is no less true for that.
[[nodiscard]] std::string RememberVerify(const Repository& repository, const std::string& backup_id,
                                         const VerifyResult& result);

}  // namespace backup_ext
