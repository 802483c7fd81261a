internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletSCTP
internal import MartletWebRTC

/// A data channel to a server that does as the label says: `sink` takes what comes, `echo` sends it back. Any other label stays
/// silent, and so does the channel.
internal final class DataLoad: LoadRole {
  private let label: String
  private let message: Slice
  private var channel: UInt16?
  private var isRunning = false
  private var sent = 0, received = 0
  /// When it was measured last: sent, less what waited.
  private var origin = 0

  /// Of echoes that are awaited, in bytes; more would measure how buffers fill.
  private static let outstanding = 512 << 10

  internal init(label: String, size: Int) {
    self.label = label
    message = Slice([UInt8](repeating: 0x6D, count: max(1, size)))
  }

  internal func prepare(_ negotiation: inout PeerNegotiation) throws(NegotiationError) { try negotiation.openDataChannels() }

  internal func didEnableChannels(_ peer: LoadPeer) {
    channel = try? peer.session.openChannel(DataChannelOptions(label: label))
    if let channel { peer.session.setLowThreshold(256 << 10, of: channel) }
  }

  internal func peer(_ peer: LoadPeer, didReceive event: DataChannelEvent) {
    switch event {
    case .open: peer.tell("open")
    case .bufferedAmountLow: fill(peer)
    case .message(_, .text, let text): peer.tell("report", ["sent": Int64(sent), "received": Int64(String(repairing: text.bytes)) ?? -1])
    case .message(_, .binary, let payload):
      received += payload.count
      fill(peer)
    case .ended: peer.tell("ended")
    case .connected, .opened, .closed: break
    }
  }

  /// The first time the messages begin.
  internal func measure(_ peer: LoadPeer) {
    if !isRunning {
      isRunning = true
      fill(peer)
    }
    origin = moved(peer)
  }

  internal func report(_ peer: LoadPeer, into totals: inout LoadTotals) { totals.dataBytes += moved(peer) - origin }

  internal func stop(_ peer: LoadPeer) {
    isRunning = false
    guard label == "sink", let channel else { return }
    do throws(DataChannelError) { try peer.session.send(.text, Slice(Array("report".utf8)), on: channel) } catch { peer.fail("\(error)") }
    peer.session.settle()
  }

  private func moved(_ peer: LoadPeer) -> Int {
    guard label == "sink", let channel else { return received }
    return sent - peer.session.bufferedAmount(of: channel)
  }

  private func fill(_ peer: LoadPeer) {
    guard isRunning, let channel else { return }
    do throws(DataChannelError) {
      var hasRoom = true
      while hasRoom, label == "sink" || sent - received < Self.outstanding {
        hasRoom = try peer.session.send(.binary, message, on: channel)
        sent += message.count
      }
    } catch { peer.fail("\(error)") }
    peer.session.settleSoon()
  }
}
