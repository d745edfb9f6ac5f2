/** Line icons, 20 × 20, in the colour of the text around them. Decoration: never the only label. */
import type { ComponentChildren } from "preact";

const PATHS = {
  overview: "M3 3.5h6v7H3zM11 3.5h6v4h-6zM11 9.5h6v7h-6zM3 12.5h6v4H3z",
  link: "M3 14c0-8 14-8 14 0M7 14v-3.2M10 14V9M13 14v-3.2M2 14h2M16 14h2",
  clients: "M7 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 16.5c0-3 2.2-5 5-5s5 2 5 5M13 9a2.5 2.5 0 1 0 0-5M14 11.7c2.4.3 4 2.1 4 4.8",
  subscriptions: "M4 16a12 12 0 0 1 12-12M4 16a6.5 6.5 0 0 1 6.5-6.500M6 14.500a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0zM14 11l3 3-3 3",
  routes: "M4.5 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM15.5 18a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM4.5 6v5a4 4 0 0 0 4 4h4.800M8 4h5a2.5 2.5 0 0 1 2.5 2.500V10",
  tester: "M8.5 14a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM12.6 12.6 17 17M8.5 6v5M6 8.500h5",
  sun: "M10 13.500a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM10 1.500v2M10 16.500v2M1.5 10h2M16.5 10h2M4 4l1.4 1.400M14.6 14.6 16 16M16 4l-1.4 1.400M5.4 14.6 4 16",
  moon: "M16.5 11.800A7 7 0 0 1 8.2 3.500a7 7 0 1 0 8.3 8.300z",
  auto: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 3v14M10 6h4.500M10 10h7M10 14h4.5",
  menu: "M3 5h14M3 10h14M3 15h14",
  close: "M5 5l10 10M15 5 5 15",
  plus: "M10 4v12M4 10h12",
  trash: "M3.5 5.500h13M8 5.500V3.500h4v2M5 5.500l.8 11h8.400l.8-11M8.5 8.500v5M11.5 8.500v5",
  gear: "M10 12.500a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM10 2v2.500M10 15.500V18M2 10h2.500M15.5 10H18M4.3 4.3 6 6M14 14l1.7 1.700M15.7 4.3 14 6M6 14l-1.7 1.7",
  refresh: "M16.5 10a6.5 6.5 0 1 1-2-4.700M16.5 2.500v3.500H13",
  copy: "M7 7h9.500v9.500H7zM13 7V3.500H3.500V13H7",
  warn: "M10 3 1.8 17h16.400zM10 8v4.200M10 14.600v.2",
  info: "M10 17.500a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15zM10 9v5M10 6.200v.2",
  check: "M4 10.5 8 14.5 16 6",
  back: "M12 4l-6 6 6 6",
  chevron: "M7 4l6 6-6 6",
  logout: "M8 3.500H3.500v13H8M8 10h9M13.5 6.5 17 10l-3.5 3.5",
  play: "M6 4l9 6-9 6z",
  pause: "M6.5 4v12M13.5 4v12",
  eye: "M1.5 10S4.5 4.5 10 4.5 18.5 10 18.5 10 15.5 15.5 10 15.5 1.5 10 1.5 10zM10 12.500a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  file: "M5 2.500h6.500L15.5 6.500v11H5zM11.5 2.500v4h4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" width="28" height="28" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" class="logo-back" />
      <path d="M6 21c0-13 20-13 20 0" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" />
      <path d="M11 21v-5.500M16 21v-9M21 21v-5.5" class="logo-ropes" fill="none" stroke-width="2" stroke-linecap="round" />
      <circle cx="6" cy="22.5" r="3" fill="#fff" />
      <circle cx="26" cy="22.5" r="3" fill="#fff" />
    </svg>
  );
}

export type Children = ComponentChildren;
