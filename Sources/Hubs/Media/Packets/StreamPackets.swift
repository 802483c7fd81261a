internal import MartletPrimitives

/// The packet plane of a stream on its home worker.
package final class StreamPackets {
  package private(set) var tracks: [PacketTrack] = []
  private var clocks: [PacketClock] = []
  private var targets: [any PacketTarget] = []
  /// This worker's ring, from which one that joins is told what has been.
  private let home: PacketRing

  internal init(home: PacketRing) { self.home = home }

  package var rendition: Rendition { home.key.rendition }
  internal var isWatched: Bool { !home.readers.isEmpty || !targets.isEmpty }

  package func configure(_ tracks: [PacketTrack]) {
    self.tracks = tracks
    home.configure(tracks)
    for target in targets { target.configure(tracks) }
  }

  package func setClock(_ clock: PacketClock) {
    home.setClock(clock)
    for target in targets { target.setClock(clock) }
  }

  package func send(_ packets: [StreamPacket]) {
    home.append(packets)
    for target in targets { target.append(packets) }
  }

  internal func add(_ target: any PacketTarget) {
    targets.append(target)
    guard !tracks.isEmpty else { return }
    target.configure(tracks)
    for clock in home.clocks { target.setClock(clock) }
    target.append(home.recent)
  }

  internal func remove(_ target: any PacketTarget) { targets.removeAll { $0 === target } }

  internal func pause() {
    home.pause()
    for target in targets { target.pause() }
  }

  internal func end(_ reason: EndReason) {
    tracks = []
    home.end(reason)
    for target in targets { target.end(reason) }
  }
}
