import Foundation
import MartletClient

/// Downloads a URL into a file, chunk by chunk, and shows how far it is.
@main struct Fetch {
  static let usage = "usage: fetch http[s]://HOST/… FILE"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 2 else { fail(usage, status: 64) }
    do {
      try await fetch(arguments[0], into: arguments[1])
    } catch {
      fail("fetch: \(error)", status: 1)
    }
  }

  static func fetch(_ url: String, into path: String) async throws {
    let response = try await HTTPClient.shared.get(url)
    guard response.isSuccess else { fail("fetch: the server answered \(response.status)", status: 1) }
    guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
      fail("fetch: \(path) cannot be written", status: 1)
    }
    var progress = Progress(total: response.contentLength)
    // While a chunk is being written the server is held back: no more than a few of them are ever in memory.
    for try await chunk in response.body {
      try file.write(contentsOf: Data(chunk))
      progress.add(chunk.count)
    }
    try file.close()
    progress.finish()
  }

  /// A line on standard error that changes ten times a second.
  struct Progress {
    let total: Int?
    private var bytes = 0
    private let begin = ContinuousClock.now
    private var shown = ContinuousClock.now

    init(total: Int?) { self.total = total }

    mutating func add(_ count: Int) {
      bytes += count
      guard ContinuousClock.now - shown > .milliseconds(100) else { return }
      shown = .now
      show(end: "")
    }

    func finish() { show(end: "\n") }

    private func show(end: String) {
      let share = total.map { $0 > 0 ? "  \(bytes * 100 / $0) %" : "" } ?? ""
      let seconds = max((ContinuousClock.now - begin) / .seconds(1), 0.001)
      let rate = Int(Double(bytes) / seconds / 1000)
      FileHandle.standardError.write(Data("\r\(bytes) bytes\(share)  \(rate) kB/s   \(end)".utf8))
    }
  }

  static func fail(_ text: String, status: Int32) -> Never {
    FileHandle.standardError.write(Data((text + "\n").utf8))
    exit(status)
  }
}
