package import MartletMedia
package import MartletPrimitives
package import MartletRooms

/// Puts a recorder to each stream of this worker that the configuration names, and to those of rooms that are recorded.
package final class StreamRecorders {
  private let configuration: RecordConfiguration
  /// `nil` where nothing is recorded.
  private let store: RecordingStore?
  private let hub: MediaHub
  private let wallTime: () -> WallTime
  private var rooms: Set<String> = []
  private var recorders: [StreamPath: StreamRecorder] = [:]

  package init(_ configuration: RecordConfiguration, _ store: RecordingStore?, hub: MediaHub, wallTime: @escaping () -> WallTime) {
    self.configuration = configuration
    self.store = store
    self.hub = hub
    self.wallTime = wallTime
  }

  package func streamDidStart(_ stream: Stream) {
    if isMeant(stream.path) { record(stream) }
  }

  /// What a room's participants publish is recorded from now on, or no longer but by the configuration.
  package func setRecorded(_ room: RoomName, _ isRecorded: Bool) {
    if isRecorded { rooms.insert(room.text) } else { rooms.remove(room.text) }
    for stream in hub.localStreams where stream.path.room == room.text {
      if isMeant(stream.path) { record(stream) } else { stop(stream) }
    }
  }

  private func isMeant(_ path: StreamPath) -> Bool {
    configuration.streams.contains { $0.matches(path.text) } || path.room.map(rooms.contains) ?? false
  }

  private func record(_ stream: Stream) {
    guard let store, recorders[stream.path] == nil else { return }
    let recorder = StreamRecorder(stream.path, configuration, store, wallTime: wallTime)
    recorders[stream.path] = recorder
    recorder.didEnd = { [weak self, path = stream.path] in self?.recorders[path] = nil }
    stream.add(recorder)
  }

  private func stop(_ stream: Stream) {
    guard let recorder = recorders.removeValue(forKey: stream.path) else { return }
    stream.remove(recorder)
    recorder.pause()
  }
}
