// A dashboard as @grafana/schema has it: the kind itself, and for each kind of panel its own options and fields, of which the
// dashboard's kind says nothing. Enumerations are the values that stand in JSON.
import type {
  Dashboard, FieldConfig, FieldConfigSource, Panel, RowPanel, VariableModel,
} from "SCHEMA/dashboard/x/dashboard_types.gen";
import type * as barchart from "SCHEMA/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen";
import type * as bargauge from "SCHEMA/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as stat from "SCHEMA/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as table from "SCHEMA/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "SCHEMA/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Plain<T> = unknown extends T ? T
  : T extends string ? (string extends T ? string : `${T}`)
  : T extends number | boolean | null | undefined ? T
  : T extends Array<infer One> ? Array<Plain<One>>
  : T extends object ? { [Key in keyof T]: Plain<T[Key]> }
  : T;

type Fields<Custom> = Omit<Plain<FieldConfigSource>, "defaults"> & {
  defaults: Omit<Plain<FieldConfig>, "custom"> & { custom?: Plain<Partial<Custom>> };
};

type Of<Kind extends string, Options, Custom> = Omit<Plain<Panel>, "type" | "options" | "fieldConfig"> & {
  type: Kind; options?: Plain<Partial<Options>>; fieldConfig?: Fields<Custom>;
};

// `auto` and its like are of variables of another kind; grafana-foundation-sdk writes them into all.
type Variable = Plain<VariableModel> & { auto?: false; auto_min?: string; auto_count?: number };

export type Board = Omit<Plain<Dashboard>, "panels" | "templating"> & {
  panels: Array<
    | Of<"barchart", barchart.Options, barchart.FieldConfig>
    | Of<"bargauge", bargauge.Options, {}>
    | Of<"stat", stat.Options, {}>
    | Of<"table", table.Options, table.FieldConfig>
    | Of<"timeseries", timeseries.Options, timeseries.FieldConfig>
    | Plain<RowPanel>
  >;
  templating: { list?: Variable[] };
};
