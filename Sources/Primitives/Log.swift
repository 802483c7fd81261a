/// Log lines are for people: each names the stream, the peer and the reason. The sink decides on the form.
public enum LogLevel: Int, Comparable, Sendable, CaseIterable {
  case debug, info, warning, error
  public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

public struct LogRecord: Sendable {
  public let level: LogLevel
  /// The part of the server that speaks: `rtmp`, `http`, `hls`, …
  public let subsystem: String
  public let message: String
  /// Structured facts in a stable order; never a secret.
  public let fields: [(key: String, value: String)]

  public init(level: LogLevel, subsystem: String, message: String, fields: [(key: String, value: String)] = []) {
    self.level = level
    self.subsystem = subsystem
    self.message = message
    self.fields = fields
  }
}

/// A cheap handle to the log. The sink must not block: it drops and counts when it cannot keep up.
public struct Log: Sendable {
  private let isEnabled: @Sendable (LogLevel) -> Bool
  private let sink: @Sendable (LogRecord) -> Void

  public init(level: LogLevel = .info, sink: @escaping @Sendable (LogRecord) -> Void) {
    self.init(isEnabled: { $0 >= level }, sink: sink)
  }

  /// - Parameter isEnabled: decides whether a line is made at all; it may change its mind while the server runs.
  public init(isEnabled: @escaping @Sendable (LogLevel) -> Bool, sink: @escaping @Sendable (LogRecord) -> Void) {
    self.isEnabled = isEnabled
    self.sink = sink
  }

  /// Swallows everything.
  public static let silent = Log(level: .error) { _ in }

  public func callAsFunction(
    _ level: LogLevel, _ subsystem: String, _ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]
  ) {
    guard isEnabled(level) else { return }
    sink(LogRecord(level: level, subsystem: subsystem, message: message(), fields: fields.map { ($0.key, $0.value) }))
  }
}
