import { expect, test } from "vitest";
import { parseDuration, parseSize, showBytes, showCount, showDuration, showMicros, showRate, splitDuration, splitSize } from "../model/units";

test("durations are read as the configuration writes them", () => {
  expect(parseDuration("15s")).toBe(15_000);
  expect(parseDuration("1m30s")).toBe(90_000);
  expect(parseDuration("1.5s")).toBe(1500);
  expect(parseDuration("250ms")).toBe(250);
  expect(parseDuration("2w")).toBe(2 * 604_800_000);
  expect(parseDuration(500)).toBe(500);
  expect(parseDuration("500")).toBe(500);
  for (const bad of ["", "s", "15x", "-1s", "infinity", "1 s", null, undefined, Number.NaN]) {
    expect(parseDuration(bad), String(bad)).toBeUndefined();
  }
});

test("a duration is split into the largest unit without a fraction", () => {
  expect(splitDuration("120s")).toEqual({ number: "2", unit: "m" });
  expect(splitDuration("90s")).toEqual({ number: "90", unit: "s" });
  expect(splitDuration("1500ms")).toEqual({ number: "1500", unit: "ms" });
  expect(splitDuration("0ms")).toEqual({ number: "0", unit: "s" });
  expect(splitDuration("infinity")).toBeUndefined();
});

test("sizes are 1024-based, without fraction or space", () => {
  expect(parseSize("256MB")).toBe(256 * 1024 * 1024);
  expect(parseSize("1gb")).toBe(1024 ** 3);
  expect(parseSize(77)).toBe(77);
  expect(parseSize("12")).toBe(12);
  for (const bad of ["1.5MB", "1 MB", "1Mb", "MB", -1, 1.5]) expect(parseSize(bad), String(bad)).toBeUndefined();
  expect(splitSize("2048KB")).toEqual({ number: "2", unit: "MB" });
  expect(splitSize("1GB")).toEqual({ number: "1", unit: "GB" });
  expect(splitSize(1025)).toEqual({ number: "1025", unit: "B" });
});

test("numbers are shown short and exact where they are small", () => {
  expect(showCount(9999)).toBe("9,999");
  expect(showCount(10_240)).toBe("10.2k");
  expect(showCount(4_560_000)).toBe("4.56M");
  expect(showRate(0)).toBe("0");
  expect(showRate(1.5)).toBe("1.50");
  expect(showRate(12.34)).toBe("12.3");
  expect(showRate(402.3)).toBe("402");
  expect(showBytes(1536)).toBe("1.5 KB");
  expect(showBytes(12)).toBe("12 B");
  expect(showDuration(93_784_000)).toBe("1d 2h");
  expect(showDuration(850)).toBe("850 ms");
  expect(showMicros(850)).toBe("850 µs");
  expect(showMicros(3400)).toBe("3.4 ms");
});
