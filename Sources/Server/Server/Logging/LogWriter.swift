internal import Glibc
internal import MartletIO
package import MartletPrimitives
internal import Synchronization

/// Writes log lines on a thread of its own, so that a slow terminal never stops a worker. What does not fit its queue is
/// dropped and counted, and the count is logged when there is room again.
package final class LogWriter: @unchecked Sendable {
  private struct State {
    var lines: [LogRecord] = []
    var dropped = 0
    var isClosed = false
  }

  private static let limit = 8192
  private let state = Mutex(State())
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private let configuration: LogConfiguration
  private let threshold: Atomic<Int>
  private var thread: WorkerThread?

  package init(_ configuration: LogConfiguration) {
    self.configuration = configuration
    threshold = Atomic(configuration.level.rawValue)
    sem_init(semaphore, 0, 0)
    thread = WorkerThread(name: "martlet-log") { [self] in run() }
  }

  package var log: Log {
    Log {
      [self] level in
      level.rawValue >= threshold.load(ordering: .relaxed)
    } sink: { [self] in
      write($0)
    }
  }

  /// Lines below are not made any more; takes effect at once.
  package func setLevel(_ level: LogLevel) { threshold.store(level.rawValue, ordering: .relaxed) }

  private func write(_ record: LogRecord) {
    let mustWake = state.withLock { state in
      guard !state.isClosed else { return false }
      guard state.lines.count < Self.limit else {
        state.dropped += 1
        return false
      }
      state.lines.append(record)
      return state.lines.count == 1
    }
    if mustWake { sem_post(semaphore) }
  }

  /// Writes what is queued and ends the thread.
  package func close() {
    state.withLock { $0.isClosed = true }
    sem_post(semaphore)
    thread?.join()
    thread = nil
  }

  private func run() {
    while true {
      sem_wait(semaphore)
      let (lines, dropped, isClosed) = state.withLock { state in
        defer { (state.lines, state.dropped) = ([], 0) }
        return (state.lines, state.dropped, state.isClosed)
      }
      var text = ""
      let now = Self.wallTime
      for line in lines { text += format(line, now) }
      if dropped > 0 {
        text += format(LogRecord(level: .warning, subsystem: "log", message: "\(dropped) lines were dropped"), now)
      }
      var bytes = Array(text.utf8)
      bytes.withUnsafeMutableBytes { buffer in
        var rest = UnsafeRawBufferPointer(buffer)
        while !rest.isEmpty {
          let count = Glibc.write(STDERR_FILENO, rest.baseAddress, rest.count)
          guard count > 0 else { return }
          rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
      }
      if isClosed { return }
    }
  }

  private static var wallTime: WallTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  private func format(_ record: LogRecord, _ now: WallTime) -> String {
    switch configuration.format {
    case .json:
      var object = JSON.Object()
      object["time"] = .string(now.iso8601)
      object["level"] = .string("\(record.level)")
      object["subsystem"] = .string(record.subsystem)
      object["message"] = .string(record.message)
      for (key, value) in record.fields { object[key] = .string(value) }
      return String(decoding: JSON.object(object).serialized, as: UTF8.self) + "\n"
    case .text:
      let level = "\(record.level)".padded(to: 7)
      let fields = record.fields.map { "  \($0.key)=\($0.value)" }.joined()
      return "\(now.iso8601)  \(level)  \(record.subsystem.padded(to: 8))  \(Self.printable(record.message + fields))\n"
    }
  }

  /// A peer's text cannot forge a line or colour a terminal.
  private static func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "\u{FFFD}" : $0 }))
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
