"""What torch.hub finds: torch.hub.load('hadaptive-nbdev/hadaptive_nbdev', 'hadaptive_net_s', num_classes=10), or with
trained weights: torch.hub.load('hadaptive-nbdev/hadaptive_nbdev', 'hadaptive_net_s', pretrained='cifar10')"""
dependencies = ['torch', 'torchvision', 'fastcore', 'safetensors']

from hadaptive_nbdev.models import hadaptive_net_l, hadaptive_net_m, hadaptive_net_s
