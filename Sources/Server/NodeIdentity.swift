// Who a node is, before it runs: the host id of a data folder, and the first entries of its metadata.

internal import Disk
internal import Encoding
package import Environment
internal import SQLiteMetadata

/// The identity that stays with a data folder.
package enum NodeIdentity {
    /// The folder's host id; a new random one if the folder is new. The folder must not be in use.
    package static func hostID(ofFolder path: String) throws(ServerFailure) -> HostID {
        let folder = try DataFolder(path: path)
        let store = try open(folder)
        return try ensureHostID(store, image: try load(store))
    }

    /// Commits the birth of a cluster into a folder that knows of none. Refuses otherwise.
    package static func initialise(
        folder path: String, _ batch: MetadataBatch
    ) throws(ServerFailure) {
        let folder = try DataFolder(path: path)
        let store = try open(folder)
        let image = try load(store)
        if let first = image.log.first {
            throw ServerFailure(
                "\(path) already belongs to a cluster (metadata log from epoch \(first.epoch)); "
                    + "start the node without --initialise")
        }
        try commit(batch, to: store)
    }

    /// Whether the folder holds a metadata log, that is, belongs to a cluster.
    package static func isInitialised(folder path: String) throws(ServerFailure) -> Bool {
        let folder = try DataFolder(path: path)
        return !(try load(try open(folder))).log.isEmpty
    }

    static func open(_ folder: DataFolder) throws(ServerFailure) -> SQLiteMetadataStore {
        do { return try SQLiteMetadataStore(path: folder.metadataPath) } catch {
            throw ServerFailure(error.description)
        }
    }

    static func load(_ store: SQLiteMetadataStore) throws(ServerFailure) -> MetadataImage {
        do { return try store.load() } catch { throw ServerFailure(error.description) }
    }

    static func commit(
        _ batch: MetadataBatch, to store: SQLiteMetadataStore
    ) throws(ServerFailure) {
        do { try store.commit(batch) } catch { throw ServerFailure(error.description) }
    }

    static func ensureHostID(
        _ store: SQLiteMetadataStore, image: MetadataImage
    ) throws(ServerFailure) -> HostID {
        if let text = image.local["host_id"] {
            guard let id = UniqueID(text) else {
                throw ServerFailure("the node's metadata is damaged: host_id is \(text)")
            }
            return HostID(id)
        }
        let host = newHostID()
        try commit(MetadataBatch([.setLocal("host_id", host.description)]), to: store)
        return host
    }

    static func newHostID() -> HostID {
        var generator = SystemRandomNumberGenerator()
        return HostID(UniqueID(randomHigh: generator.next(), low: generator.next()))
    }
}
