import Foundation
import Lines
import MartletWebRTC
import Meeting

/// Sends a file from one machine to another over a WebRTC data channel. A transfer that broke off goes on where it was when both are
/// started again, and a file counts as received when its checksum is right.
@main struct PeerFile {
  static let usage = "usage: peer-file send FILE ws://HOST[:PORT] CHANNEL\n       peer-file receive FOLDER ws://HOST[:PORT] CHANNEL"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 4, ["send", "receive"].contains(arguments[0]) else { fail(usage, status: 64) }
    do {
      try await run(isSender: arguments[0] == "send", arguments[1], Meeting(arguments[2], room: arguments[3]))
    } catch {
      fail("peer-file: \(error)", status: 1)
    }
  }

  static func run(isSender: Bool, _ path: String, _ meeting: Meeting) async throws {
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    let peer = try PeerConnection(configuration)
    // Either may make the offer, so both know the channel by its number.
    var options = DataChannel.Options()
    options.negotiatedID = 1
    let channel = try await peer.createDataChannel("file", options)
    let transfer = Task {
      do {
        guard await channel.waitUntilOpen() else { throw TransferError("no connection came about") }
        if isSender { try await send(path, over: channel) } else { try await receive(into: path, from: channel) }
      } catch {
        await peer.close()
        throw error
      }
      await peer.close()
    }
    let meet = Task {
      try await meeting.run(peer) {
      } react: { event in
        if case .connectionState(.failed) = event { await peer.close() }
      }
    }
    // The server is needed no more once the two are connected.
    _ = await meet.result
    if await peer.connectionState != .connected { await peer.close() }
    try await transfer.value
  }
}

struct TransferError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
