// What is true of the page, said in one place: the headline, the bar above it and the link's word.

import { clock, list, say } from "./words.js";

const GONE_FOR_GOOD = 86_400_000; // a gateway that is off for a day may never come back

/**
 * The page's state and its sentences.
 *
 * `state` is "wait", "checking", "lost", "broker", "deaf" (no gateway receives), "partial" (one does
 * not), "off", "locked", "sleep", "calm" or "unpaired"; `troubles` are for the bar, the worst first.
 */
export function truth({ link, board, unpaired, bell, awake, now }) {
  const at = (time) => clock(typeof time === "string" ? Date.parse(time) : time, now);
  const lost = () =>
    link.full ? say("full") : board ? say("lost_more", { time: at(link.since) }) : say("lost_first");
  if (unpaired) return quiet("unpaired", "not_paired", "not_paired", "not_paired_more");
  if (link.up === false) {
    const chip = say("lost", { time: at(link.since) });
    return { state: "lost", severe: true, chip, troubles: [lost()], headline: ["unknown", "unknown_more"] };
  }
  if (!board) return quiet("wait", "connecting", "waiting", "waiting_more");
  if (!link.sure) return quiet("checking", "connecting", "waiting", "checking");
  if (board.broker.state !== "live") {
    const time = at(board.broker.since);
    const troubles = [`${say("broker_away", { time })} ${say("missed")}`];
    return { state: "broker", severe: true, chip: say("lost", { time }), troubles, headline: ["unknown", "unknown_more"] };
  }
  if (board.gateways.length === 0) return quiet("wait", "live", "waiting", "waiting_more");
  const sound = bell === "on" ? [] : [say(`sound_${bell}`)];
  const down = board.gateways.filter((gateway) => gateway.state !== "online");
  if (down.length > 0) {
    const deaf = down.length === board.gateways.length;
    const troubles = ["blind", "offline"].flatMap((state) => silent(down.filter((gateway) => gateway.state === state), state, now));
    if (troubles.length === 1) troubles[0] += ` ${say("missed")}`;
    return {
      state: deaf ? "deaf" : "partial",
      severe: deaf,
      chip: say("unsure"),
      troubles: [...troubles, ...sound],
      headline: ["unknown", deaf ? "no_radio_more" : "unknown_more"],
    };
  }
  if (bell !== "on") return quiet(bell, `live_${bell}`, "calm_silent", `bell_is_${bell}`);
  return awake ? quiet("calm", "live", "calm", "calm_more") : quiet("sleep", "live_sleep", "calm", "may_sleep");
}

const quiet = (state, chip, ...headline) => ({ state, severe: false, chip: say(chip), troubles: [], headline });

/** One sentence for all gateways in the same state. */
function silent(gateways, state, now) {
  if (gateways.length === 0) return [];
  const since = Math.min(...gateways.map((gateway) => Date.parse(gateway.since)));
  const names = list(gateways.map((gateway) => gateway.label ?? gateway.name));
  const sentence = say(state, { n: gateways.length, gateways: names, time: clock(since, now) });
  const retired = state === "offline" && now - since > GONE_FOR_GOOD;
  return [retired ? `${sentence} ${say("retire")}` : sentence];
}
