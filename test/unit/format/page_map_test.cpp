// The page map against a slow, obvious model: for each unit its frame and place.
#include "format/page_map.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "base/error.h"

namespace backup_ext {
namespace {

FrameRef Frame(uint32_t plain_bytes) {
  return {.pack = 0, .offset_bytes = 64, .stored_bytes = 100, .plain_bytes = plain_bytes};
}

struct ModelUnit {
  uint32_t frame;
  uint64_t unit;
  bool operator==(const ModelUnit&) const = default;
};

std::vector<ModelUnit> Expand(const PageMap& map) {
  std::vector<ModelUnit> units;
  for (const PageRun& run : map.runs) {
    for (uint64_t i = 0; i < run.units; ++i) {
      units.push_back({run.frame, run.first_unit + i});
    }
  }
  return units;
}

bool IsSound(const PageMap& map, uint64_t size_bytes) {
  try {
    map.Check(size_bytes);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDamaged);
    return false;
  }
}

PageMap RandomMap(std::mt19937_64* random, std::vector<ModelUnit>* model) {
  PageMap map;
  map.unit_bytes = (*random)() % 2 == 0 ? 1 : 8192;
  const uint32_t frame_units = map.unit_bytes == 1 ? 1000 : 32;
  const uint64_t frames = (*random)() % 5 + 1;
  for (uint64_t i = 0; i < frames; ++i) {
    FrameRef frame = Frame(frame_units * map.unit_bytes);
    frame.pack = static_cast<uint32_t>((*random)() % 3);
    frame.offset_bytes = (*random)() % 3 == 0 ? (*random)() >> 2 : 64 + i * 100;
    frame.digest = (*random)();
    map.frames.push_back(frame);
  }
  uint32_t frame = 0, unit = 0;
  for (uint64_t steps = (*random)() % 50; steps > 0; --steps) {
    if (unit == frame_units || (*random)() % 4 == 0) {
      frame = static_cast<uint32_t>((*random)() % frames);
      unit = static_cast<uint32_t>((*random)() % frame_units);
    }
    const auto count = static_cast<uint32_t>((*random)() % std::min(frame_units - unit + 1, 4U));
    map.Append(count, frame, unit);
    for (uint32_t i = 0; i < count; ++i) {
      model->push_back({frame, unit + i});
    }
    unit += count;
  }
  if (map.unit_bytes != 1) {
    map.all_visible.resize((model->size() + 7) / 8, static_cast<std::byte>((*random)()));
  }
  return map;
}

TEST(PageMap, AgreesWithTheModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 3000; ++round) {
    std::vector<ModelUnit> model;
    const PageMap map = RandomMap(&random, &model);
    ASSERT_EQ(Expand(map), model);
    for (size_t i = 1; i < map.runs.size(); ++i) {
      const PageRun &a = map.runs[i - 1], &b = map.runs[i];
      ASSERT_FALSE(a.frame == b.frame && a.first_unit + a.units == b.first_unit) << "not joined";
    }
    const uint64_t size = model.size() * map.unit_bytes;
    ASSERT_EQ(map.SizeBytes(), size);
    ASSERT_TRUE(IsSound(map, size));
    ASSERT_FALSE(IsSound(map, size + 1));
    ASSERT_FALSE(IsSound(map, size - 1));

    ByteWriter out;
    EncodePageMap(map, &out);
    ByteReader in(out.bytes(), "page map");
    ASSERT_EQ(DecodePageMap(&in), map);
    ASSERT_TRUE(in.AtEnd());
    for (size_t length = 0; length < out.size(); ++length) {
      ByteReader cut(out.bytes().first(length), "page map");
      ASSERT_THROW(static_cast<void>(DecodePageMap(&cut)), Error);
    }
  }
}

TEST(PageMap, ExtremeNumbersComeBack) {
  PageMap map;
  map.unit_bytes = UINT32_MAX;
  map.frames = {{UINT32_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX},
                {0, 0, 0, 0, 0},
                {0, UINT64_MAX, 1, 1, 1}};
  map.runs = {{UINT64_MAX, UINT32_MAX, UINT32_MAX}, {0, 0, 0}, {UINT64_MAX, 1, 1}};
  ByteWriter out;
  EncodePageMap(map, &out);
  ByteReader in(out.bytes(), "page map");
  EXPECT_EQ(DecodePageMap(&in), map);
  EXPECT_EQ(map.SizeBytes(), UINT64_MAX);
}

struct BadMap {
  const char* name;
  std::function<void(PageMap*)> damage;
};

TEST(PageMap, EveryImpossibleMapIsRefused) {
  const BadMap cases[] = {
      {"unit of zero", [](PageMap* m) { m->unit_bytes = 0; }},
      {"odd unit", [](PageMap* m) { m->unit_bytes = 8193; }},
      {"large unit", [](PageMap* m) { m->unit_bytes = 65536; }},
      {"frame that is not there", [](PageMap* m) { m->runs[1].frame = 2; }},
      {"run of nothing",
       [](PageMap* m) {
         m->runs.push_back({0, 0, 0});
       }},
      {"run past its frame", [](PageMap* m) { m->runs[0].first_unit = 31; }},
      {"run past its frame, wrapping", [](PageMap* m) { m->runs[0].units = UINT64_MAX; }},
      {"size that wraps", [](PageMap* m) { m->runs[0].units = (UINT64_MAX >> 13) + 3; }},
      {"gap", [](PageMap* m) { m->runs.pop_back(); }},
      {"frame too large", [](PageMap* m) { m->frames[0].plain_bytes = kFramePlainLimitBytes + 1; }},
      {"empty frame", [](PageMap* m) { m->frames[0].plain_bytes = 0; }},
      {"stored in nothing", [](PageMap* m) { m->frames[0].stored_bytes = kFrameHeaderBytes; }},
      {"stored in more", [](PageMap* m) { m->frames[0].stored_bytes = 400'000; }},
      {"offset that wraps", [](PageMap* m) { m->frames[0].offset_bytes = UINT64_MAX - 10; }},
      {"bits missing", [](PageMap* m) { m->all_visible.resize(1); }},
  };
  PageMap sound;
  sound.unit_bytes = 8192;
  sound.frames = {Frame(32 * 8192), Frame(32 * 8192)};
  sound.Append(2, 0, 0);
  sound.Append(10, 1, 22);
  sound.all_visible.resize(2);
  ASSERT_TRUE(IsSound(sound, 12 * 8192));
  for (const BadMap& bad : cases) {
    PageMap map = sound;
    bad.damage(&map);
    EXPECT_FALSE(IsSound(map, 12 * 8192)) << bad.name;
  }
}

TEST(PageMap, EmptyFileHasAnEmptyMap) {
  PageMap map;
  map.Append(0, 7, 7);
  EXPECT_EQ(map, PageMap());
  EXPECT_TRUE(IsSound(map, 0));
}

TEST(PageMap, HostileCountsAllocateNothing) {
  for (const uint64_t count : {uint64_t{3}, uint64_t{1} << 40, UINT64_MAX}) {
    for (const bool in_runs : {false, true}) {
      ByteWriter out;
      out.PutVarint(1);
      if (in_runs) {
        out.PutVarint(0);
      }
      out.PutVarint(count);
      out.PutU32(0);
      ByteReader in(out.bytes(), "page map");
      EXPECT_THROW(static_cast<void>(DecodePageMap(&in)), Error);
    }
  }
}

}  // namespace
}  // namespace backup_ext
