// Sends every kind of metric that OpenTelemetry's JavaScript SDK has, twice with either temporality; with "requests": 1
// once, with the first.
//
//   NODE_PATH=.../node_modules node send.js '{"protocol": "grpc", "endpoint": "http://127.0.0.1:4317", "compression": "gzip"}'
"use strict";

const { ValueType } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const {
  AggregationTemporality,
  AggregationType,
  MeterProvider,
  PeriodicExportingMetricReader,
} = require("@opentelemetry/sdk-metrics");
const { AggregationTemporalityPreference } = require("@opentelemetry/exporter-metrics-otlp-http");

const EXPORTERS = {
  grpc: require("@opentelemetry/exporter-metrics-otlp-grpc"),
  "http/protobuf": require("@opentelemetry/exporter-metrics-otlp-proto"),
  "http/json": require("@opentelemetry/exporter-metrics-otlp-http"),
};

const VALUES = {
  empty: "",
  script: "naïve Ωμέγα 日本語 Привет עברית",
  emoji: "👩‍👩‍👧‍👦 🚀",
  controls: "tab\tnew\nline\r\0bell\x07",
  quotes: "'single' \"double\" `back` \\ / ../ ; --",
  long: "x".repeat(5000),
  true: true,
  false: false,
  int: Number.MAX_SAFE_INTEGER,
  negative: -Number.MAX_SAFE_INTEGER,
  double: 0.1,
  small: 5e-324,
  nan: NaN,
  infinity: -Infinity,
  bytes: new Uint8Array([0, 255, 254]),
  array: ["a", 1, 0.5, true, null],
  nested: [[1, [2, []]], { in: "map" }],
  map: { a: 1, b: { c: { d: [false, "deep"] } }, empty: {} },
};

function record(provider) {
  const meter = provider.getMeter("interop ✓", "1.0", { schemaUrl: "https://opentelemetry.io/schemas/1.30.0" });
  const integers = meter.createGauge("gauge.int", { unit: "{row}", description: "Integers ✓", valueType: ValueType.INT });
  for (const value of [0, 1, -1, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 2 ** 62]) {
    integers.record(value, { value: String(value) });
  }
  const doubles = meter.createGauge("gauge.double", { valueType: ValueType.DOUBLE });
  for (const value of [0, -0, 0.1, 5, 5e-324, Number.MAX_VALUE, NaN, Infinity, -Infinity]) {
    doubles.record(value, { value: Object.is(value, -0) ? "-0" : String(value) });
  }
  meter.createCounter("counter.int", { unit: "By", valueType: ValueType.INT }).add(3, VALUES);
  meter.createCounter("counter.double").add(0.1);
  meter.createUpDownCounter("up.down", { valueType: ValueType.INT }).add(-5, { a: "" });
  meter.createObservableGauge("observed").addCallback((result) => result.observe(2.5, { "": "no key" }));
  for (const name of ["histogram", "exponential"]) {
    const histogram = meter.createHistogram(name, { unit: "s" });
    for (const value of [0, 1e-9, 0.3, 7, 1e9]) histogram.record(value, { route: "/" });
  }
}

async function send(options, preference) {
  const { OTLPMetricExporter } = EXPORTERS[options.protocol];
  const exporter = new OTLPMetricExporter({
    url: options.endpoint,
    compression: options.compression === "gzip" ? "gzip" : "none",
    temporalityPreference: preference,
    timeoutMillis: 60_000,
  });
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000, exportTimeoutMillis: 60_000 });
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ ...VALUES, "service.name": "TrainFlow", flow: "TrainFlow", run: "17" }),
    readers: [reader],
    views: [{ instrumentName: "exponential", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  });
  if (options.requests !== 1) {
    record(provider);
    await provider.forceFlush();
  }
  record(provider);
  await provider.shutdown(); // sends what is left
}

async function main() {
  const options = JSON.parse(process.argv[2]);
  await send(options, AggregationTemporalityPreference.DELTA);
  if (options.requests !== 1) await send(options, AggregationTemporalityPreference.CUMULATIVE);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
