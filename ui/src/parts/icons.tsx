// Line icons, 16 px, drawn here so that no icon font or library is shipped.
const icon = (d: string) => function Icon({ size = 16 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={d} />
    </svg>
  );
};
export const Bell = icon("M3.5 11.5h9c-1-1-1.3-2-1.3-4.3C11.2 5 10 3.5 8 3.5S4.8 5 4.8 7.2c0 2.3-.3 3.3-1.3 4.3zM6.8 13.5h2.4");
export const Sliders = icon("M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 3v3M6 10v3");
export const Pulse = icon("M1.5 8.5h3l1.8-5 3 9 1.9-4h3.3");
export const SearchIcon = icon("M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3l3.2 3.2");
export const Chevron = icon("M4.5 6.5 8 10l3.5-3.5");
export const Back = icon("M9.5 3.5 5 8l4.5 4.5");
export const Check = icon("M3.5 8.5 6.5 11.5l6-7");
export const Cross = icon("M4 4l8 8M12 4l-8 8");
export const CopyIcon = icon("M5.5 5.5h7v8h-7zM3.5 10.5v-8h7");
export const Sun = icon("M8 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8 1.8v1.4M8 12.8v1.4M1.8 8h1.4M12.8 8h1.4M3.6 3.6l1 1M11.4 11.4l1 1M12.4 3.6l-1 1M4.6 11.4l-1 1");
export const Moon = icon("M13 9.7A5.5 5.5 0 0 1 6.3 3a5.5 5.5 0 1 0 6.7 6.7z");
export const Screen = icon("M2 3h12v8H2zM6 13.5h4");
export const Columns = icon("M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10");
export const Download = icon("M8 2.5v7.5M5 7l3 3 3-3M3 13.5h10");
export const Warn = icon("M8 2.5 14.3 13.5H1.7zM8 6.5v3M8 11.5v.1");
export const Keys = icon("M1.5 4h13v8.5h-13zM4 7h.1M6.7 7h.1M9.3 7h.1M12 7h.1M5 10h6");
export const Up = icon("M8 13V3.5M4.5 7 8 3.5 11.5 7");
export const Down = icon("M8 3v9.5M4.5 9 8 12.5 11.5 9");
export const Box = icon("M8 1.8 13.5 5v6L8 14.2 2.5 11V5zM2.5 5 8 8.2 13.5 5M8 8.2v6");
export const Filter = icon("M2.5 3.5h11L9.5 8.5v4l-3 1v-5z");
export const Retry = icon("M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3");
export const Layers = icon("M8 2 14 5.2 8 8.4 2 5.2zM2.5 8.2 8 11.1l5.5-2.9M2.5 11.1 8 14l5.5-2.9");
export const Hex = icon("M8 1.8 13.4 4.9v6.2L8 14.2 2.6 11.1V4.9zM8 5.2v3l2.4 1.4M8 8.2 5.6 9.6");
export const Boxes = icon("M2 2.5h5v5H2zM9 2.5h5v5H9zM2 9.5h5v4H2zM9 9.5h5v4H9z");
export const Person = icon("M8 7.5a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2zM2.8 13.7c.4-2.6 2.4-4 5.2-4s4.8 1.4 5.2 4");
export const Ledger = icon("M3 2.2h10v11.6H3zM5.5 5.2h5M5.5 8h5M5.5 10.8h3");
export const Door = icon("M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8zM1.8 8h12.4M8 1.8c2 1.7 2.8 3.8 2.8 6.2S10 12.5 8 14.2C6 12.5 5.2 10.4 5.2 8S6 3.5 8 1.8z");
export const Bug = icon("M8 5.5a3 3 0 0 1 3 3v1.8a3 3 0 0 1-6 0V8.5a3 3 0 0 1 3-3zM5.8 5.9 4.4 3.2M10.2 5.9l1.4-2.7M5 9H1.8M14.2 9H11M5.2 11.6l-2.4 2M10.8 11.6l2.4 2M8 5.5v7.8");
export const Book = icon("M3 3.2h4.2c.5 0 .8.4.8.9v9.2c0-.5-.3-.9-.8-.9H3zM13 3.2H8.8c-.5 0-.8.4-.8.9v9.2c0-.5.3-.9.8-.9H13z");
export const Shield = icon("M8 1.8 13.2 3.6v4.2c0 3-2 5.2-5.2 6.4-3.2-1.2-5.2-3.4-5.2-6.4V3.6zM5.6 8l1.7 1.7 3.1-3.3");
export const Coin = icon("M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2zM10.2 5.6C9.6 5 8.9 4.8 8.2 4.8c-1.6 0-2.7 1.3-2.7 3.2s1.1 3.2 2.7 3.2c.7 0 1.4-.2 2-.8M4.4 7.2h3.8M4.4 8.8h3.8");
export const Scales = icon("M8 2.5v11M4.5 13.5h7M3 4.5h10M3 4.5 1.3 8.8h3.4zM13 4.5l-1.7 4.3h3.4z");
export const Steps = icon("M2 12.5h3.5V9H9V5.5h3.5V2.5M12.5 2.5h1.7");
export const Clipboard = icon("M5.5 3.2h-2v10.6h9V3.2h-2M5.5 2h5v2.4h-5zM5.5 8.4l1.4 1.4 2.8-3M5.5 11.8h5");
