"""What keys are called elsewhere: what somebody types who knows another program."""

MEANT = {
    **dict.fromkeys(("lr", "learning_rate", "step_size"), "optimizer.lr="),
    **dict.fromkeys(("iterations", "iters", "num_steps", "n_steps", "max_iter", "num_iterations"), "steps="),
    **dict.fromkeys(("device", "gpu", "gpus", "cuda", "accelerator"), "trainer=gpu, trainer=cpu or trainer=mps"),
    **dict.fromkeys(("output_dir", "out_dir", "save_dir", "outdir"), "hydra.run.dir=FOLDER"),
    **dict.fromkeys(("out", "output_image", "save", "save_path"), "output=picture.png"),
    **dict.fromkeys(("content_image", "content_img", "input", "image", "photo"), "content="),
    **dict.fromkeys(("style_image", "style_img", "painting"), "style="),
    **dict.fromkeys(("image_size", "imsize", "img_size", "resolution", "width", "height"), "size="),
    **dict.fromkeys(("model", "network", "net", "vgg"), "backbone=vgg19"),
    **dict.fromkeys(("preserve_color", "preserve_colors", "original_colors", "keep_colors"), "colors=content"),
    **dict.fromkeys(("weights", "weights_path"), "backbone.weights=FILE"),
    **dict.fromkeys(("pooling", "padding"), "backbone.pooling= or backbone.padding="),
    **dict.fromkeys(("random_seed", "manual_seed"), "seed="),
    **dict.fromkeys(("loss", "style_loss_name"), "style_loss="),
    **dict.fromkeys(("optim", "optimiser"), "optimizer=lbfgs or optimizer=adam"),
    **dict.fromkeys(("batch", "batch_size"), "data.batch=, of mode=train"),
    **dict.fromkeys(("dataset", "data_dir"), "data.dir=FOLDER, of mode=train"),
    **dict.fromkeys(("wandb", "offline"), "tracking=wandb, tracking.mode=offline or tracking=none"),
    "beta": "style_weight=",
    "normalize": "style_loss.normalize=",
    "precision": "trainer.precision=",
    "layer_weights": "style_layer_weights=",
    "mix": "style_mix=",
    "model_path": "checkpoint=",
}
"""Names that other programs have → the key that is meant."""
