internal import MartletPrimitives

extension Server {
  /// Where log lines go.
  public enum LogOutput: Sendable {
    case silent
    /// As the setting `log` says, from a thread of its own.
    case standardError
    /// To your own log. Called from the server's threads: it must not wait.
    case handler(@Sendable (LogLine) -> Void)

    internal func open(_ configuration: LogConfiguration) -> (Log, LogWriter?) {
      switch self {
      case .silent: return (.silent, nil)
      case .standardError:
        let writer = LogWriter(configuration)
        return (writer.log, writer)
      case .handler(let handler):
        return (Log(level: configuration.level) { handler(LogLine($0)) }, nil)
      }
    }
  }

  /// One line for a person.
  public struct LogLine: Sendable, CustomStringConvertible {
    public enum Level: String, Sendable { case debug, info, warning, error }
    public let level: Level
    /// `rtmp`, `http`, `hls`, …
    public let subsystem: String
    public let message: String
    /// Facts in a stable order.
    public let fields: [(key: String, value: String)]

    internal init(_ record: LogRecord) {
      level =
        switch record.level {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
      (subsystem, message, fields) = (record.subsystem, record.message, record.fields)
    }

    public var description: String { "\(level.rawValue) \(subsystem): \(message)" + fields.map { "  \($0.key)=\($0.value)" }.joined() }
  }
}
