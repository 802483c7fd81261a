import Foundation
import MartletClient
import Pacing

/// Publishes an FLV file on an RTMP server in real time.
@main struct PublishFile {
  static let usage = "usage: publish-file [--loop] FILE.flv rtmp://HOST[:PORT]/APP/NAME"

  static func main() async {
    var arguments = Array(CommandLine.arguments.dropFirst())
    let loops = arguments.contains("--loop")
    arguments.removeAll { $0 == "--loop" }
    guard arguments.count == 2 else { fail(usage, status: 64) }
    do {
      try await publish(arguments[0], on: arguments[1], loops: loops)
    } catch {
      fail("publish-file: \(error)", status: 1)
    }
  }

  static func publish(_ path: String, on url: String, loops: Bool) async throws {
    let publisher = try await RTMPPublisher(url)
    print("publishing \(path)")
    var pace = Pace()
    repeat {
      for try await packet in FLVFileReader(path: path) {
        // `send` waits when the server does not keep up.
        try await publisher.send(try await pace.wait(for: packet))
      }
      pace.startAgain()
    } while loops
    await publisher.close()
    print("done")
  }

  static func fail(_ text: String, status: Int32) -> Never {
    FileHandle.standardError.write(Data((text + "\n").utf8))
    exit(status)
  }
}
