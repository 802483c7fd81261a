/// One metric with its samples, as Prometheus' text format 0.0.4 has it.
package struct Metric: Sendable {
  package enum Kind: String, Sendable { case counter, gauge }

  package let name: String
  package let kind: Kind
  package let help: String
  /// By label set, written out: `{transport="rtmp"}`, or empty.
  package var samples: [String: Double]

  package init(_ name: String, _ kind: Kind, _ help: String, _ samples: [String: Double]) {
    self.name = name
    self.kind = kind
    self.help = help
    self.samples = samples
  }

  package init(_ name: String, _ kind: Kind, _ help: String, _ value: Int) { self.init(name, kind, help, ["": Double(value)]) }

  package static func label(_ name: String, _ value: String) -> String {
    var escaped = ""
    for character in value {
      switch character {
      case "\\": escaped += "\\\\"
      case "\"": escaped += "\\\""
      case "\n": escaped += "\\n"
      default: escaped.append(character)
      }
    }
    return "{\(name)=\"\(escaped)\"}"
  }

  /// The same metrics of several workers as one.
  package static func sum(_ parts: [[Metric]]) -> [Metric] {
    var order: [String] = []
    var byName: [String: Metric] = [:]
    for metric in parts.joined() {
      if byName[metric.name] == nil { order.append(metric.name) }
      byName[metric.name, default: Metric(metric.name, metric.kind, metric.help, [:])].samples.merge(metric.samples, uniquingKeysWith: +)
    }
    return order.compactMap { byName[$0] }
  }

  package static func text(_ metrics: [Metric]) -> String {
    var text = ""
    for metric in metrics {
      text += "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n"
      for (labels, value) in metric.samples.sorted(by: { $0.key < $1.key }) {
        text += "\(metric.name)\(labels) \(value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)")\n"
      }
    }
    return text
  }
}
