// What scripts of the page find beside themselves.
declare const Plotly: {
  react(element: HTMLElement, data: unknown[], layout: unknown, config: unknown): Promise<unknown>;
  purge(element: HTMLElement): void;
};
