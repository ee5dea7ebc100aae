// Where the headers of WAL pages and of WAL records keep what, in bytes.
//
// Source: src/include/access/xlog_internal.h (XLogPageHeaderData, XLogLongPageHeaderData) and
// src/include/access/xlogrecord.h (XLogRecord).
#pragma once

#include <cstddef>
#include <cstdint>

namespace backup_ext {

// The header of every page. 8-byte alignment leaves 4 bytes unused at its end.
inline constexpr size_t kWalPageMagicOffset = 0;
inline constexpr size_t kWalPageInfoOffset = 2;
inline constexpr size_t kWalPageTimelineOffset = 4;
inline constexpr size_t kWalPageAddressOffset = 8;
inline constexpr size_t kWalPageRestOffset = 16;  // the length of what is left of a record
inline constexpr size_t kShortWalPageHeaderBytes = 24;
// What the first page of a segment adds.
inline constexpr size_t kWalPageSystemIdentifierOffset = 24;
inline constexpr size_t kWalPageSegmentBytesOffset = 32;
inline constexpr size_t kWalPageBlockBytesOffset = 36;
inline constexpr size_t kLongWalPageHeaderBytes = 40;

inline constexpr uint16_t kWalPageContinuesRecord = 0x0001;  // XLP_FIRST_IS_CONTRECORD
inline constexpr uint16_t kWalPageHasLongHeader = 0x0002;    // XLP_LONG_HEADER
// XLP_FIRST_IS_OVERWRITE_CONTRECORD: after a crash in the middle of a record, what there is of it
// is given up. Until 18 the bit that 19 uses says that full pages may be taken out.
inline constexpr uint16_t kWalPageOverwritesRecord = 0x0008;
inline constexpr uint16_t kWalPageOverwritesRecordFrom19 = 0x0004;
inline constexpr uint16_t kAllWalPageFlags = 0x000F;  // XLP_ALL_FLAGS

// The header of a record, in 15 to 19; its length is at 0.
inline constexpr size_t kWalRecordHeaderBytes = 24;
inline constexpr size_t kWalRecordBeforeOffset = 8;
inline constexpr size_t kWalRecordInfoOffset = 16;
inline constexpr size_t kWalRecordManagerOffset = 17;
inline constexpr size_t kWalRecordChecksumOffset = 20;
inline constexpr uint64_t kWalRecordAlignment = 8;       // MAXALIGN
inline constexpr uint8_t kWalRecordManagersInfo = 0xF0;  // ~XLR_INFO_MASK
inline constexpr uint8_t kXlogSwitch = 0x40;             // XLOG_SWITCH

// Source: src/include/access/rmgrlist.h.
inline constexpr uint8_t kXlogResourceManager = 0;
inline constexpr uint8_t kTablespaceResourceManager = 5;

}  // namespace backup_ext
