import { expect, test } from "vitest";
import { eventsOf } from "../state/live";

test("events are named once they are complete", () => {
  const first = eventsOf("event: links\ndata: [1]\n\n:\n\nevent: al");
  expect(first).toEqual({ names: ["links"], rest: "event: al" });
  expect(eventsOf(`${first.rest}arms\ndata: []\n\n`)).toEqual({ names: ["alarms"], rest: "" });
});
