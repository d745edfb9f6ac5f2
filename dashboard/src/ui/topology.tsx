/**
 * This cluster and its remotes, with one arrow per direction. The picture has a list of the same
 * facts behind it for those who do not see it.
 */
import type { Link, LinkMetrics } from "../api/types";
import { t, word } from "../i18n";
import { directions, linkWord, toneOf, type Directions } from "../model/status";
import { showCount, showRate } from "../model/units";
import { go, linkHref } from "../router";
import { usePhone } from "./virtual";

export interface Traffic {
  metrics?: LinkMetrics | undefined;
  /** Messages per second from the remote. */
  inRate?: number | undefined;
}

const ROW = 74;

const short = (name: string, most: number) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
const rate = (value: number | undefined) => (value === undefined ? "–" : showRate(value));

function texts(link: Link, traffic: Traffic, way: Directions) {
  const routes = traffic.metrics?.router.routes;
  return {
    out: t("topology.rate", { rate: rate(traffic.metrics?.forwarding.rate) }) + (routes === undefined ? "" : ` · ${t("topology.routes", { count: showCount(routes) })}`),
    in:
      way.in.state === "send_only"
        ? t("state.send_only")
        : `${t("topology.rate", { rate: rate(traffic.inRate) })} · ${t("topology.filters", { count: link.topics.length })}`,
  };
}

export function Topology(props: { local: string; links: Link[]; traffic: Map<string, Traffic>; more: number }) {
  const phone = usePhone();
  const { links, local } = props;
  const width = phone ? 340 : 760;
  const boxWidth = phone ? 92 : 190;
  const height = Math.max(links.length * ROW + 8, 112);
  const middle = height / 2;
  const own = Math.min(Math.max(60, links.length * 26 + 12), height - 8);
  const right = width - boxWidth;
  return (
    <figure class="topology">
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={t("topology.alt", { name: local, count: links.length })}>
        <defs>
          {(["good", "busy", "bad", "warn", "off"] as const).map((tone) => (
            <marker key={tone} id={`head-${tone}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="10" markerHeight="10" markerUnits="userSpaceOnUse" orient="auto">
              <path d="M0 0.5 8 4 0 7.5z" class={`arrow-head ${tone}`} />
            </marker>
          ))}
        </defs>
        <g class="cluster local">
          <rect x="1" y={middle - own / 2} width={boxWidth} height={own} rx="8" />
          <text x={1 + boxWidth / 2} y={middle - 2} text-anchor="middle" class="cluster-name">
            {short(local, phone ? 12 : 24)}
          </text>
          <text x={1 + boxWidth / 2} y={middle + 15} text-anchor="middle" class="cluster-note">
            {t("topology.here")}
          </text>
        </g>
        {links.map((link, index) => {
          const y = index * ROW + ROW / 2 + (height - links.length * ROW) / 2;
          const way = directions(link);
          const says = texts(link, props.traffic.get(link.name) ?? {}, way);
          const state = linkWord(link);
          // From the box of this cluster to the row of the remote, then straight.
          const bend = boxWidth + (phone ? 22 : 70);
          const start = middle + (links.length > 1 ? ((index / (links.length - 1)) * 2 - 1) * (own / 2 - 16) : 0);
          const curve = (up: number) =>
            `M${boxWidth + 3} ${start + up} C${bend} ${start + up} ${bend - (phone ? 14 : 40)} ${y + up} ${bend + 8} ${y + up} L${right - 5} ${y + up}`;
          const back = (up: number) =>
            `M${right - 3} ${y + up} L${bend + 8} ${y + up} C${bend - (phone ? 14 : 40)} ${y + up} ${bend} ${start + up} ${boxWidth + 5} ${start + up}`;
          const label = (bend + right) / 2;
          return (
            <g key={link.name}>
              <path d={curve(-6)} class={`arrow ${way.out.tone}`} marker-end={`url(#head-${way.out.tone})`} />
              <path d={back(6)} class={`arrow ${way.in.tone}`} marker-end={`url(#head-${way.in.tone})`} />
              <text x={label} y={y - 13} text-anchor="middle" class="arrow-text">
                {phone ? `${rate(props.traffic.get(link.name)?.metrics?.forwarding.rate)}/s` : says.out}
              </text>
              <text x={label} y={y + 22} text-anchor="middle" class="arrow-text">
                {phone ? (way.in.state === "send_only" ? "" : `${rate(props.traffic.get(link.name)?.inRate)}/s`) : says.in}
              </text>
              <g class={`cluster remote ${toneOf(state)}`} onClick={() => go(linkHref(link.name))}>
                <rect x={right - 1} y={y - 24} width={boxWidth} height="48" rx="8" />
                <circle cx={right + 13} cy={y - 7} r="4" class={`dot ${toneOf(state)}`} />
                <text x={right + 23} y={y - 2} class="cluster-name">
                  {short(link.name, phone ? 9 : 20)}
                </text>
                <text x={right + 23} y={y + 14} class="cluster-note">
                  {word("state", state)}
                </text>
              </g>
            </g>
          );
        })}
      </svg>
      <ul class="sr-only">
        {links.map((link) => {
          const way = directions(link);
          const says = texts(link, props.traffic.get(link.name) ?? {}, way);
          return (
            <li key={link.name}>
              <a href={linkHref(link.name)}>{link.name}</a>: {word("state", linkWord(link))}. {t("direction.out")}:{" "}
              {word("state", way.out.state)}, {says.out}. {t("direction.in")}: {word("state", way.in.state)}, {says.in}.
            </li>
          );
        })}
      </ul>
      {props.more > 0 ? (
        <figcaption>
          <a href="/cluster-linking">{t("topology.more", { count: props.more })}</a>
        </figcaption>
      ) : null}
    </figure>
  );
}

/** Both directions of one link, larger and with words (U-6). */
export function DirectionsPicture({ link, local, traffic }: { link: Link; local: string; traffic: Traffic }) {
  const way = directions(link);
  const says = texts(link, traffic, way);
  return (
    <div class="ways">
      <div class="way-end">{local}</div>
      <div class="way-lines">
        <Way tone={way.out.tone} to="right" name={t("direction.out")} state={word("state", way.out.state)} text={says.out} />
        <Way tone={way.in.tone} to="left" name={t("direction.in")} state={word("state", way.in.state)} text={says.in} />
      </div>
      <div class="way-end">{link.name}</div>
    </div>
  );
}

function Way(props: { tone: string; to: "left" | "right"; name: string; state: string; text: string }) {
  return (
    <div class={`way ${props.tone}`}>
      <p>
        <span>{props.name}</span> <strong>{props.state}</strong>
      </p>
      <svg class="way-arrow" viewBox="0 0 200 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <path d="M0 5h200" class={`arrow ${props.tone}`} vector-effect="non-scaling-stroke" />
      </svg>
      <span class={`way-head ${props.to}`} aria-hidden="true" />
      <p class="way-text">{props.text}</p>
    </div>
  );
}
