// Checksums from xxHash and OpenSSL, hexadecimal text, and random bytes.
#include "base/digest.h"

#include <fmt/core.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace backup_ext {
namespace {

Digest128 Canonical(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  Digest128 digest;
  static_assert(sizeof(canonical) == sizeof(digest));
  std::memcpy(digest.data(), &canonical, sizeof(digest));
  return digest;
}

int HexValue(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  if (digit >= 'a' && digit <= 'f') {
    return digit - 'a' + 10;
  }
  if (digit >= 'A' && digit <= 'F') {
    return digit - 'A' + 10;
  }
  return -1;
}

}  // namespace

Digest128 Xxh3Digest(ByteSpan bytes) { return Canonical(XXH3_128bits(bytes.data(), bytes.size())); }

uint64_t Xxh3Short(ByteSpan bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

struct Xxh3Stream::State {
  XXH3_state_t xxh;
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }
Xxh3Stream::~Xxh3Stream() = default;
Xxh3Stream::Xxh3Stream(Xxh3Stream&&) noexcept = default;
Xxh3Stream& Xxh3Stream::operator=(Xxh3Stream&&) noexcept = default;

void Xxh3Stream::Update(ByteSpan bytes) {
  if (!bytes.empty()) {
    XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
  }
}

Digest128 Xxh3Stream::Finish() const { return Canonical(XXH3_128bits_digest(&state_->xxh)); }

struct Sha256Stream::State {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> digest{EVP_MD_CTX_new()};
};

namespace {

void CheckSha256(bool success) {
  if (!success) {
    throw Error(ErrorCode::kInternal, "could not compute SHA-256 checksum");
  }
}

}  // namespace

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  CheckSha256(state_->digest != nullptr &&
              EVP_DigestInit_ex(state_->digest.get(), EVP_sha256(), nullptr) == 1);
}
Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::Update(ByteSpan bytes) {
  CheckSha256(EVP_DigestUpdate(state_->digest.get(), bytes.data(), bytes.size()) == 1);
}

std::array<std::byte, 32> Sha256Stream::Finish() {
  std::array<std::byte, 32> result;
  unsigned int length = 0;
  CheckSha256(EVP_DigestFinal_ex(state_->digest.get(),
                                 reinterpret_cast<unsigned char*>(result.data()), &length) == 1 &&
              length == result.size());
  return result;
}

std::string HexEncode(ByteSpan bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text.push_back(digits[std::to_integer<unsigned>(byte) >> 4]);
    text.push_back(digits[std::to_integer<unsigned>(byte) & 0xF]);
  }
  return text;
}

Bytes HexDecode(std::string_view text) {
  if (text.size() % 2 != 0) {
    throw Error(ErrorCode::kDamaged, "hexadecimal text has an odd number of digits");
  }
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = HexValue(text[i]), low = HexValue(text[i + 1]);
    if (high < 0 || low < 0) {
      throw Error(ErrorCode::kDamaged, "hexadecimal text holds another character");
    }
    bytes.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return bytes;
}

Bytes RandomBytes(size_t count) {
  Bytes bytes(count);
  size_t done = 0;
  while (done < count) {
    const ssize_t got = getrandom(bytes.data() + done, count - done, 0);
    if (got >= 0) {
      done += static_cast<size_t>(got);
    } else if (errno != EINTR) {
      throw SystemError("read random bytes", errno);
    }
  }
  return bytes;
}

}  // namespace backup_ext
